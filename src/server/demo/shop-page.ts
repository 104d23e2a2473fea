/** The shop's one page: plain HTML that works without scripts. */
import type { ShopSession } from './shop.js'

const GOODS = ['Tea', 'Coffee', 'Bread', 'Honey', 'Apples']

/** The page of a visitor; every text of theirs is escaped. */
export function page(session: ShopSession, instance: string, sessionId: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Gcache demo shop</title>
<meta name="viewport" content="width=device-width">
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }
form { display: inline } button { font: inherit; padding: .2rem .8rem; margin: .1rem }
footer { color: #666; font-size: .85rem; margin-top: 3rem }
</style></head><body>
<h1>The shop</h1>
${session.user === undefined ? loginForm() : shelves(session.user, session.cart ?? [])}
<footer>Served by shop instance ${escaped(instance)}; reload to see the other one. Session
${escaped(sessionId.slice(0, 8))}... lives in the cluster. Kill the master (k in the demo's
terminal) and reload: you are still logged in.</footer>
</body></html>
`
}

function loginForm(): string {
  return `<form method="post" action="/login">
<label>Your name <input name="user" maxlength="40" autofocus required></label>
<button>Log in</button></form>`
}

function shelves(user: string, cart: readonly string[]): string {
  const buttons = GOODS.map(
    item => `<form method="post" action="/cart">
<input type="hidden" name="line" value="${item} #${cart.length + 1}">
<button>+ ${item}</button></form>`,
  ).join('\n')
  const lines = cart.map(line => `<li>${escaped(line)}</li>`).join('')
  return `<p>Logged in as <b>${escaped(user)}</b>.
<form method="post" action="/logout"><button>Log out</button></form></p>
<p>${buttons}</p>
<h2>Your cart (${cart.length})</h2><ol>${lines}</ol>`
}

const ENTITIES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, char => ENTITIES[char])
}

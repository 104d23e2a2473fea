/**
 * A password's one form, after RFC 4013 (SASLprep), so that what looks alike is alike wherever it
 * was typed: spaces of other scripts are spaces, what is never seen is left out, and the rest is
 * in NFKC. What that RFC prohibits is refused, never changed; so are code points that this Unicode
 * does not know, because a later one may give them another form. Its tables are those of Unicode
 * 3.2, ours are the running Node's; its rule on mixed directions of writing changes nothing and is
 * left out.
 */

/** RFC 3454, C.1.2. */
const SPACES = /[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/gu
/** RFC 3454, B.1. */
const UNSEEN = /\u034f|[\u180b-\u180d]|[\ufe00-\ufe0f]|[\u00ad\u1806\u2060\ufeff]|\u200c|\u200d/gu
/** RFC 3454: C.2 control, C.3 private, C.4 no characters, C.5 surrogates; A.1 not assigned. */
const NO_TEXT = /[\p{Cc}\p{Co}\p{Cs}\p{Cn}\p{Noncharacter_Code_Point}]/u
/** RFC 3454: the rest of C.2.2, C.6 (it stands for bytes that were no text, too), C.7 to C.9. */
const FORMATS = new RegExp(
  [
    '[\\u06dd\\u070f\\u180e\\u2028\\u2029\\u2061-\\u2063\\u206a-\\u206f\\ufff9-\\ufffd]',
    '[\\u{1d173}-\\u{1d17a}\\u2ff0-\\u2ffb\\u0340\\u0341\\u200e\\u200f\\u202a-\\u202e]',
    '[\\u{e0001}\\u{e0020}-\\u{e007f}]',
  ].join('|'),
  'u',
)

/** Undefined for what may be no password. */
export function saslprep(text: string): string | undefined {
  if (FORMATS.test(text)) return undefined
  const prepared = text.replace(SPACES, ' ').replace(UNSEEN, '').normalize('NFKC')
  return NO_TEXT.test(prepared) || FORMATS.test(prepared) ? undefined : prepared
}

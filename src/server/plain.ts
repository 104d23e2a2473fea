/**
 * What others have written, on a terminal: control and direction signs of a stranger's name, key or
 * value would move the cursor, hide lines or worse, so they are shown as what they are.
 */

/** All of category Cc but line breaks and tabs, and signs that turn the direction of writing. */
const HARMFUL = /(?![\n\t])\p{Cc}|[\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu

export function plain(text: string): string {
  return text.replace(HARMFUL, sign => {
    const hex = sign.charCodeAt(0).toString(16)
    return hex.length > 2 ? `\\u${hex.padStart(4, '0')}` : `\\x${hex.padStart(2, '0')}`
  })
}

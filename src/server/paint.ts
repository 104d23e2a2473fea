/** Colours for terminals only, tables in columns, numbers that people can read. NO_COLOR counts. */

export interface Paint {
  bold(text: string): string
  dim(text: string): string
  red(text: string): string
  green(text: string): string
  yellow(text: string): string
}

const plain = (text: string) => text
const code = (open: number, close: number) => (text: string) =>
  `\u001b[${open}m${text}\u001b[${close}m`

const PLAIN: Paint = { bold: plain, dim: plain, red: plain, green: plain, yellow: plain }
const COLOURED: Paint = {
  bold: code(1, 22),
  dim: code(2, 22),
  red: code(31, 39),
  green: code(32, 39),
  yellow: code(33, 39),
}

/** Colours if `stream` is a terminal and NO_COLOR is not set (no-color.org: any value but ''). */
export function paintFor(stream: { isTTY?: boolean }): Paint {
  return stream.isTTY === true && !process.env.NO_COLOR ? COLOURED : PLAIN
}

/** Columns two spaces apart; `right` lists those that are aligned right. Colours do not count. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const widths: number[] = []
  for (const row of rows)
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, widthOf(cell))
  return rows
    .map(row =>
      row
        .map((cell, i) => {
          const space = ' '.repeat(widths[i] - widthOf(cell))
          return right.includes(i) ? space + cell : cell + space
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with it
const COLOUR = /\u001b\[\d+m/g

function widthOf(text: string): number {
  return text.replace(COLOUR, '').length
}

/** At most `columns` wide; a line that is cut loses its colours. */
export function clipped(line: string, columns: number): string {
  return widthOf(line) <= columns ? line : `${line.replace(COLOUR, '').slice(0, columns - 1)}~`
}

/** 120433 as 120_433. */
export function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, '_')
}

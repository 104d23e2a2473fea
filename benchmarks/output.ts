/** One JSON object a line for programs, aligned columns for people. */

export type Row = Record<string, string | number>

/** Prints rows as they come; `json` for programs. */
export function printer(json: boolean): (row: Row) => void {
  let heading = ''
  return row => {
    if (json) {
      console.log(JSON.stringify(row))
      return
    }
    const widths = Object.entries(row).map(([name, value]) => widthOf(name, value))
    const line = (cells: unknown[]) =>
      cells.map((cell, i) => String(cell).padEnd(widths[i])).join('  ')
    const names = line(Object.keys(row))
    if (names !== heading) console.log(names)
    heading = names
    console.log(line(Object.values(row)))
  }
}

/** Texts of one column differ in length from row to row: these are the longest there are. */
const WIDE: Record<string, number> = { work: 40, peer: 38 }

function widthOf(name: string, value: string | number): number {
  return WIDE[name] ?? Math.max(name.length, typeof value === 'number' ? 9 : value.length)
}

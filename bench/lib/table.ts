import { goalText, spreadText, type Measured } from './summary.ts'

/** A Markdown table; every spread is median [min .. max] of the rounds. */
export function tableOf(measured: readonly Measured[]): string {
  const rows = measured.map((one) => [
    one.id,
    one.what,
    `${spreadText(one.subject)} ${one.unit}`,
    `${spreadText(one.reference)} ${one.unit}`,
    spreadText(one.ratio),
    goalText(one.goal),
    one.met ? 'yes' : 'NO',
  ])
  const head = ['id', 'what', 'subject', 'reference', 'ratio', 'goal', 'met']
  return textTable(head, rows)
}

export function textTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows]
  const widths = head.map((_name, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`
  return [line(head), rule, ...rows.map(line)].join('\n')
}

import type { CrowdLog } from './crowd.ts'

/** Live progress: one line that is rewritten on a terminal, a line a second elsewhere. @returns how to end it */
export function showProgress(log: CrowdLog, remaining: () => Promise<number>): () => void {
  const isTerminal = process.stdout.isTTY
  const start = Date.now()
  const show = async () => {
    const units = await remaining().catch(() => Number.NaN)
    const rejected = [...log.rejected.values()].reduce((sum, n) => sum + n, 0)
    const seconds = ((Date.now() - start) / 1_000).toFixed(1).padStart(5)
    const text = `${seconds} s  free ${pad(units)}  accepted ${pad(log.accepted)}  rejected ${pad(rejected)}  ordered ${pad(log.ordered)}  paid ${pad(log.paid)}  lapsed ${pad(log.lapsed)}`
    process.stdout.write(isTerminal ? `\r${text}` : `${text}\n`)
  }
  const timer = setInterval(() => void show(), isTerminal ? 200 : 1_000)
  return () => {
    clearInterval(timer)
    if (isTerminal) process.stdout.write('\n')
  }
}

function pad(n: number): string {
  return (Number.isNaN(n) ? '?' : String(n)).padStart(5)
}

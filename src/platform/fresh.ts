/** Those who ask while it is read, or at most `ms` after it was, get the same: asking often costs the source little. */
export function freshFor<T>(ms: number, read: () => Promise<T>): () => Promise<T> {
  let kept: { value: Promise<T>; readAt: number } | undefined
  return () => {
    if (kept === undefined || performance.now() - kept.readAt > ms) {
      const reading = { value: read(), readAt: Infinity }
      const settled = () => (reading.readAt = performance.now())
      reading.value.then(settled, settled)
      kept = reading
    }
    return kept.value
  }
}

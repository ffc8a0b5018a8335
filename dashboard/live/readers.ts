import { readLag, type Lag, type LagDependencies } from '../../src/figures/lag.ts'
import { readBooks, readGateFigures, readSale } from '../../src/snapshot.ts'
import type { Books, GateFigures, SaleFigures } from '../../src/snapshot.ts'

/** Queues and broker have no clock in common: `asOfMs` is ours. */
export type LagFigures = Lag & { asOfMs: number }

/** The live page's way to stores, queues and broker. */
export interface LiveReaders {
  sale(eventId: string): Promise<SaleFigures | undefined>
  gate(eventId: string): Promise<GateFigures>
  books(eventId: string, earlier: Books | undefined): Promise<Books | undefined>
  lag(): Promise<LagFigures>
}

export function liveReaders(deps: LagDependencies): LiveReaders {
  return {
    sale: (eventId) => readSale(deps, eventId),
    gate: (eventId) => readGateFigures(deps, eventId),
    books: (eventId, earlier) => readBooks(deps, eventId, earlier),
    lag: async () => ({ asOfMs: Date.now(), ...(await readLag(deps)) }),
  }
}

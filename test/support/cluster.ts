/** A cluster in the place of a plain service, for a test that kills a part of it. */
import { oversold, type Facts } from '../../src/figures/invariants.ts'
import type { ToldFacts } from '../../tools/check/invariants.ts'
import type { ClusterName } from '../../tools/services/clusters.ts'
import { provideServices, type Services } from '../../tools/services/index.ts'
import { serverUrls } from './world.ts'

/** Starts one; the other services are those that all tests share. */
export function startCluster(name: ClusterName): Promise<Services> {
  return provideServices({
    env: { ...process.env, ...serverUrls() },
    log: () => undefined,
    clusters: [name],
  })
}

export interface Node {
  /** SIGKILL; resolves when it has ended. */
  kill(): Promise<void>
  /** Starts it again on the port and the data that it had; resolves when it answers. */
  restart(): Promise<void>
}

/** A node by its name. */
export function nodeOf({ nodes }: Services, name: string): Node {
  const node = nodes.get(name)
  if (node === undefined) throw new Error(`there is no node ${name}: ${[...nodes.keys()].join(', ')}`)
  return {
    async kill() {
      const pid = node.pid()
      if (pid === undefined) throw new Error(`${name} does not run`)
      process.kill(pid, 'SIGKILL')
      await node.ended()
    },
    restart: () => node.restart(),
  }
}

/** What a kill has cost, in one line. @param killed what, and how */
export function lossLine(
  killed: string,
  sales: readonly { facts: Facts; toldFacts: Pick<ToldFacts, 'told' | 'decided' | 'ordered'> }[],
): string {
  const sum = (count: (sale: (typeof sales)[number]) => number) =>
    sales.reduce((total, sale) => total + count(sale), 0)
  const accepted = sum(({ toldFacts }) => toldFacts.told)
  const ordered = sum(({ toldFacts }) => toldFacts.ordered)
  const lost = sum(({ toldFacts }) => toldFacts.told - toldFacts.decided)
  const over = sum(({ facts }) => oversold(facts.ledger))
  return `killed: ${killed} · accepted ${accepted}, ordered ${ordered}, lost ${lost}, oversold ${over}`
}

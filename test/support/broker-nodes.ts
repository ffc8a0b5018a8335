/** What a test does to the nodes of a RabbitMQ cluster, and what they tell of themselves. */
import { onNode } from '../../tools/services/rabbitmq.ts'
import type { RunningService } from '../../tools/services/service.ts'
import { until } from './wait.ts'

const BACK_WITHIN_MS = 60_000

export class BrokerNodes {
  readonly #nodes: ReadonlyMap<string, RunningService>

  constructor(nodes: ReadonlyMap<string, RunningService>) {
    this.#nodes = nodes
  }

  /** SIGKILL; resolves when it has ended. */
  async kill(name: string): Promise<void> {
    const node = this.#node(name)
    const pid = node.pid()
    if (pid === undefined) throw new Error(`${name} does not run`)
    process.kill(-pid, 'SIGKILL')
    await node.ended()
  }

  /** Starts those that are away, and waits until all see each other. */
  async bringBack(): Promise<void> {
    const nodes = [...this.#nodes.values()]
    await Promise.all(nodes.filter((node) => node.pid() === undefined).map((node) => node.restart()))
    const seen = () =>
      Promise.all(nodes.map(({ spec }) => onNode(spec.env, 'length(rabbit_nodes:all_running())')))
    await until(
      'all nodes to see each other',
      async () => (await seen()).every((count) => Number(count) === nodes.length),
      BACK_WITHIN_MS,
    )
  }

  /** The nodes that clients are connected to, one for each connection. */
  async connected(): Promise<string[]> {
    return namesIn(await this.#ask('[node(Pid) || Pid <- rabbit_networking:connections()]'))
  }

  async leaderOf(queue: string): Promise<string | undefined> {
    return namesIn(await this.#ofQueue(queue, 'rabbit_quorum_queue:info(Queue, [leader])'))[0]
  }

  /** Nodes that are to have a copy of a queue, and those whose copy runs. */
  async copiesOf(queue: string): Promise<{ members: string[]; online: string[] }> {
    const told = (key: string) => this.#ofQueue(queue, `rabbit_quorum_queue:info(Queue, [${key}])`)
    return {
      members: namesIn(await told('members')).toSorted(),
      online: namesIn(await told('online')).toSorted(),
    }
  }

  async moveLeader(queue: string, name: string): Promise<void> {
    const node = this.#node(name).spec.env['RABBITMQ_NODENAME']
    await this.#ofQueue(queue, `rabbit_quorum_queue:transfer_leadership(Queue, '${node}')`)
    await until(`${name} to lead ${queue}`, async () => (await this.leaderOf(queue)) === name)
  }

  #ofQueue(queue: string, expression: string): Promise<string> {
    const found = `{ok, Queue} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"${queue}">>))`
    return this.#ask(`begin ${found}, ${expression} end`)
  }

  /** Any node knows of all. */
  #ask(expression: string): Promise<string> {
    const running = [...this.#nodes.values()].find((node) => node.pid() !== undefined)
    if (running === undefined) throw new Error('no node runs')
    return onNode(running.spec.env, expression)
  }

  #node(name: string): RunningService {
    const node = this.#nodes.get(name)
    if (node === undefined) throw new Error(`there is no node ${name}`)
    return node
  }
}

/** Erlang writes a node as 'name@host'. */
function namesIn(text: string): string[] {
  return [...text.matchAll(/'([^'@]+)@[^']*'/g)].map(([, name = '']) => name)
}

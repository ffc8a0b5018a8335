/** What may happen to a sale, as data that fast-check makes and shrinks: who acts next, and which fault strikes. */
import { array, boolean, constantFrom, integer, nat, oneof, record, type Arbitrary } from 'fast-check'
import type { Fate, Process } from './model/process.ts'
import { closeOverdue, changeStatus, changeStock, follow, logRelay, outboxRelay } from './model/net.ts'
import { refundRelay, revive, stuckHolds, triage } from './model/net.ts'
import { JOB_STEPS, TOPICS, type JobStep } from './model/queues.ts'
import { rebuild, rebuildIfLost, reconcile } from './model/rebuild.ts'
import { copyOf, restart, type StockRedis } from './model/redis.ts'
import {
  bridge,
  buy,
  cancelOrder,
  closeOrders,
  createOrders,
  pay,
  releaseStock,
  resend,
  settle,
  track,
} from './model/steps.ts'
import { PAYMENT_WINDOW, type Sale, type World } from './model/world.ts'
import type { Topic } from './model/postgres.ts'

/** How often each kind of action is chosen, in a sale whose stores lose nothing. */
const USUAL = {
  buy: 14,
  flow: 8,
  proceed: 10,
  crash: 4,
  deliver: 7,
  work: 8,
  net: 14,
  pay: 6,
  callback: 5,
  cancel: 2,
  tick: 6,
  lapse: 1,
  stock: 1,
  status: 1,
  end: 1,
  follow: 0,
  resend: 1,
  track: 1,
  rebuild: 1,
  duplicate: 3,
  requeue: 1,
  stall: 2,
  failJob: 1,
  deadLetter: 1,
  forgetJobs: 1,
  restart: 1,
  snapshot: 0,
  restore: 0,
  loseRedis: 0,
  loseBroker: 0,
  loseJobs: 0,
  loseLock: 0,
  broker: 1,
}

type Kind = keyof typeof USUAL

/** One mood reaches what another one hardly ever does. */
const MOODS: readonly Partial<Record<Kind, number>>[] = [
  {},
  { snapshot: 2, restore: 2, loseRedis: 2, loseBroker: 1, loseJobs: 1, loseLock: 1 },
  { buy: 24, loseRedis: 5, rebuild: 5, track: 4, stock: 0, status: 0, end: 0 },
  { tick: 14, track: 8, deliver: 14, loseRedis: 4, rebuild: 5, flow: 2, work: 4 },
  { pay: 12, callback: 12, lapse: 10, flow: 16, crash: 1, rebuild: 0, stock: 0, end: 0 },
  { cancel: 10, proceed: 20, flow: 14, stall: 4 },
  { buy: 20, deliver: 14, work: 20, net: 8, cancel: 0, stock: 0, status: 0, end: 0, rebuild: 0 },
  { stock: 6, status: 6, end: 6, follow: 14, net: 10, proceed: 24 },
  { rebuild: 8, restart: 3, loseRedis: 1, loseLock: 4, stock: 4, proceed: 20 },
  { broker: 8, tick: 14, net: 24, flow: 2, loseBroker: 2 },
]

export interface Action {
  kind: Kind
  /** Choose among what there is. */
  a: number
  b: number
  /** Effects that a new process does before it has to wait for its turn. */
  effects: number
  /** Which of them fails, and how. */
  fateAt: number
  fate: Fate
}

export interface Plan {
  sale: Sale
  /** Whether processes that wait when the faults end go on; else they die. */
  goOn: boolean
  actions: Action[]
}

const MANY = 99

function actionOf(mood: Partial<Record<Kind, number>>): Arbitrary<Action> {
  const weights = Object.entries({ ...USUAL, ...mood }) as [Kind, number][]
  return record({
    kind: constantFrom(...weights.flatMap(([kind, weight]) => Array<Kind>(weight).fill(kind))),
    a: nat(11),
    b: nat(11),
    effects: constantFrom(MANY, MANY, MANY, MANY, 0, 1, 2, 3, 4, 5, 7),
    fateAt: nat(4),
    fate: constantFrom<Fate>('done', 'done', 'done', 'failed', 'unanswered', 'repeated'),
  })
}

/** @param lengths the fewest and the most actions */
export function planOf([minLength, maxLength]: readonly [number, number]): Arbitrary<Plan> {
  return record({
    sale: record({
      units: integer({ min: 1, max: 5 }),
      perUnit: integer({ min: 2, max: 4 }),
      lapseLimit: nat(2),
    }).map(({ units, perUnit, lapseLimit }) => ({
      units,
      buyers: units * perUnit,
      lapseLimit,
      perUserLimit: 2,
    })),
    goOn: boolean(),
    actions: oneof(...MOODS.map((mood) => array(actionOf(mood), { minLength, maxLength, size: 'max' }))),
  })
}

const NET = {
  outboxRelay,
  logRelay,
  closeOverdue,
  revive,
  triage,
  follow,
  rebuildIfLost,
  refundRelay,
  stuckHolds,
  reconcile,
}
const NET_NAMES = Object.keys(NET) as (keyof typeof NET)[]
/** The parts that repair what no other part of the product would have left. */
const REPAIRS: readonly (keyof typeof NET)[] = ['stuckHolds', 'reconcile']
/** What a purchase needs most is asked for most. */
const NET_CHOICE: readonly (keyof typeof NET)[] = [
  ...NET_NAMES,
  'outboxRelay',
  'outboxRelay',
  'outboxRelay',
  'logRelay',
]
const TICKS = [1, 3, 10, 70]

/** Plays one schedule on a world. */
export class Player {
  readonly #world: World
  /** An older state of Redis that may come back. */
  #file: StockRedis | undefined

  constructor(world: World) {
    this.#world = world
  }

  play(action: Action): void {
    this.#world.trace?.push(`${action.kind} ${action.a} ${action.b}`)
    PLAYS[action.kind](this.#world, action, this)
    this.#world.afterEffect()
  }

  keep(): void {
    this.#file = copyOf(this.#world.redis)
  }

  restore(): void {
    if (this.#file === undefined) return
    restart(this.#world.redis, this.#file)
    this.#world.lost.redis = true
  }

  /** Processes of before the faults end, then the net runs until nothing changes. */
  rest(goOn: boolean, repairs: boolean, seconds: number): boolean {
    const world = this.#world
    world.broker.down = false
    world.trace?.push(`rest, ${repairs ? 'with' : 'without'} repairs`)
    for (const process of world.running.slice()) {
      if (goOn) world.finish(process)
      else world.crash(process)
    }
    // The reconciler acts on what it sees twice.
    for (let round = 0, idle = 0; round < MAX_ROUNDS; round++) {
      const before = world.changes
      world.pass(seconds)
      flow(world)
      for (const name of NET_NAMES)
        if (repairs || !REPAIRS.includes(name)) world.finish(world.spawn(name, NET[name](world)))
      // Buyers ask until they are answered.
      if (repairs) for (const rid of world.told.keys()) world.finish(world.spawn('track', track(world, rid)))
      idle = world.changes === before ? idle + 1 : 0
      if (idle > (repairs ? 1 : 0)) return true
    }
    return false
  }
}

const MAX_ROUNDS = 25

type Play = (world: World, action: Action, player: Player) => void

const PLAYS: Record<Kind, Play> = {
  buy: (world, { a, b, ...action }) =>
    start(
      world,
      action,
      'buy',
      buy(world, `u${Math.min(a, b) % world.sale.buyers}`, (a + b) % 3 === 0 ? 2 : 1),
    ),
  flow: (world) => flow(world),
  proceed: (world, action) => proceed(world, pick(world.running, action.a), action),
  crash: (world, { a }) => {
    const process = pick(world.running, a)
    if (process !== undefined) world.crash(process)
  },
  deliver: (world, { a, b, ...action }) => {
    const topic = pick(
      TOPICS.filter((each) => world.broker.ready[each].length > 0),
      a,
    )
    if (topic !== undefined)
      start(world, action, 'bridge', bridge(world, world.broker.deliver(topic, 1 + (b % 3), b, world.now)))
  },
  work: (world, { a, b, ...action }) => {
    const step = pick(
      JOB_STEPS.filter((each) => world.jobs.waiting(each).length > 0),
      a,
    )
    if (step !== undefined) startWork(world, action, step, 1 + (b % 3), b)
  },
  net: (world, { a, b, ...action }) => {
    const name = NET_CHOICE[(a * 12 + b) % NET_CHOICE.length] ?? 'outboxRelay'
    start(world, action, name, NET[name](world))
  },
  pay: (world, { a, b, ...action }) => {
    const order = pick(
      [...world.pg.orders.values()].filter(({ status }) => status === 'pending'),
      a,
    )
    if (order !== undefined) start(world, action, 'pay', pay(world, order.id, b % 4 > 0))
  },
  callback: (world, { a, b, ...action }) => {
    const callback = pick(world.callbacks, a)
    // Money may be taken at a second try, but not given back to be taken again.
    const kind = b % 4 === 0 ? 'captured' : callback?.kind
    if (callback !== undefined && kind !== undefined)
      start(world, action, 'settle', settle(world, { ...callback, kind }))
  },
  cancel: (world, { a, ...action }) => {
    const order = pick([...world.pg.orders.values()], a)
    if (order !== undefined) start(world, action, 'cancel', cancelOrder(world, order.id))
  },
  tick: (world, { a }) => {
    world.pass(TICKS[a % TICKS.length] ?? 1)
  },
  lapse: (world) => world.pass(PAYMENT_WINDOW + 1),
  stock: (world, { a, b, ...action }) =>
    start(
      world,
      action,
      'stock',
      changeStock(world, `row-${world.pg.ledger.length}`, a % 3 === 0 ? -1 : 1 + (b % 2)),
    ),
  status: (world, { a, b, ...action }) => {
    const status = (a + b) % 2 === 0 ? 'paused' : 'published'
    start(world, action, status, changeStatus(world, status))
  },
  end: (world, action) => start(world, action, 'ended', changeStatus(world, 'ended')),
  follow: (world, action) => start(world, action, 'follow', follow(world)),
  resend: (world, { a, ...action }) => {
    const claim = pick([...world.asked.values()], a)
    if (claim !== undefined) start(world, action, 'resend', resend(world, claim))
  },
  track: (world, { a, ...action }) => {
    const rid = pick([...world.told.keys()], a)
    if (rid !== undefined) start(world, action, 'track', track(world, rid))
  },
  rebuild: (world, action) => start(world, action, 'rebuild', rebuild(world)),
  duplicate: ({ broker }, { a, b }) => {
    const topic = pick(TOPICS, a) ?? 'reservation.accepted'
    const message = pick(broker.ready[topic], b)
    if (message !== undefined) broker.publish(topic, message.payload)
  },
  requeue: ({ broker }, { a }) => {
    const delivery = pick(broker.unacked, a)
    if (delivery !== undefined) broker.requeue([delivery])
  },
  stall: ({ jobs }, { a }) => {
    const job = pick(jobs.all('active'), a)
    if (job !== undefined) jobs.stall(job)
  },
  failJob: ({ jobs, late, lost }, { a }) => {
    const job = pick(jobs.all('waiting'), a)
    if (job === undefined) return
    job.state = 'failed'
    if (late.has(job.payload.rid)) lost.queues = true
  },
  deadLetter: ({ broker, late, lost }, { a, b }) => {
    const [message] = broker.ready[pick(TOPICS, a) ?? 'order.created'].splice(b, 1)
    if (message === undefined) return
    broker.dead.push(message)
    // Late money's reservation has its verdict from the first: the triage lets it go, and the reconciler tells Redis.
    if (late.has(message.payload.rid)) lost.queues = true
  },
  forgetJobs: ({ jobs }) => jobs.forgetCompleted(),
  snapshot: (_world, _action, player) => player.keep(),
  restore: (_world, _action, player) => player.restore(),
  restart: ({ redis }) => restart(redis, 'current'),
  loseRedis: ({ redis, lost }) => {
    restart(redis, 'empty')
    lost.redis = true
  },
  loseBroker: ({ broker, lost }, { a }) => {
    const topic: Topic = pick(TOPICS, a) ?? 'order.created'
    broker.ready[topic].splice(0)
    lost.queues = true
  },
  loseJobs: ({ jobs, lost }) => {
    jobs.lose()
    lost.queues = true
  },
  broker: ({ broker }) => {
    broker.down = !broker.down
  },
  loseLock: ({ pg, lost }) => {
    if (pg.gateLock !== undefined) lost.locks = true
    pg.gateLock = undefined
  },
}

function pick<T>(items: readonly T[], choice: number): T | undefined {
  return items[items.length === 0 ? 0 : choice % items.length]
}

type Pace = Pick<Action, 'effects' | 'fateAt' | 'fate'>

function start(world: World, pace: Pace, name: string, work: Process['work']): void {
  proceed(world, world.spawn(name, work), pace)
}

function proceed(world: World, process: Process | undefined, { effects, fateAt, fate }: Pace): void {
  if (process === undefined) return
  for (let i = 0; i < effects && world.running.includes(process); i++)
    world.step(process, i === fateAt ? fate : 'done')
}

function startWork(world: World, pace: Pace, step: JobStep, count: number, from: number): void {
  const runs = world.jobs.take(step, step === 'release-stock' ? 1 : count, from, world.now)
  const [first] = runs
  if (first === undefined) return
  if (step === 'create-order') start(world, pace, step, createOrders(world, runs))
  else if (step === 'close-order') start(world, pace, step, closeOrders(world, runs))
  else start(world, pace, step, releaseStock(world, first))
}

/** The usual way of everything that is in a queue, without faults. */
function flow(world: World): void {
  const smooth: Pace = { effects: MANY, fateAt: 0, fate: 'done' }
  start(world, smooth, 'outboxRelay', outboxRelay(world))
  for (const topic of TOPICS) {
    while (!world.broker.down && world.broker.ready[topic].length > 0)
      start(world, smooth, 'bridge', bridge(world, world.broker.deliver(topic, 3, 0, world.now)))
    for (const step of JOB_STEPS) {
      const { length } = world.jobs.waiting(step)
      for (let i = 0; i < length; i++) startWork(world, smooth, step, 3, 0)
    }
  }
}

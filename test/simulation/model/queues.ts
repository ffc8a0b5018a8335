/** RabbitMQ and BullMQ: at least once, in any order, sometimes twice; what a fault takes away is gone. */
import type { Payload, Topic } from './postgres.ts'

export const TOPICS = ['reservation.accepted', 'order.created', 'stock.released'] as const

export interface Message {
  topic: Topic
  payload: Payload
}

/** A message in the hands of one consumer. */
export interface Delivery extends Message {
  /** Not acked and not back in the queue. */
  open: boolean
  since: number
}

export class Broker {
  readonly ready: Record<Topic, Message[]> = {
    'reservation.accepted': [],
    'order.created': [],
    'stock.released': [],
  }
  readonly unacked: Delivery[] = []
  readonly dead: Message[] = []
  changes = 0
  /** It answers nobody; what it has, it keeps. */
  down = false

  publish(topic: Topic, payload: Payload): void {
    this.changes++
    this.ready[topic].push({ topic, payload })
  }

  /** @param from which message comes first: a queue does not keep its order */
  deliver(topic: Topic, count: number, from: number, now: number): Delivery[] {
    if (this.down) return []
    const queue = this.ready[topic]
    const taken = queue.splice(queue.length === 0 ? 0 : from % queue.length, count)
    this.changes += taken.length
    const deliveries = taken.map((message) => ({ ...message, open: true, since: now }))
    this.unacked.push(...deliveries)
    return deliveries
  }

  ack(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) this.#end(delivery)
  }

  /** The consumer's channel is gone: what it had not acked is delivered again. */
  requeue(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) if (this.#end(delivery)) this.publish(delivery.topic, delivery.payload)
  }

  /** Messages of a topic that are not acked yet. */
  depth(topic: Topic): number {
    return this.ready[topic].length + this.unacked.filter((delivery) => delivery.topic === topic).length
  }

  /** Takes a dead letter away. */
  bury(message: Message): void {
    const at = this.dead.indexOf(message)
    if (at >= 0) this.dead.splice(at, 1)
    this.changes++
  }

  #end(delivery: Delivery): boolean {
    if (!delivery.open) return false
    delivery.open = false
    this.unacked.splice(this.unacked.indexOf(delivery), 1)
    return true
  }
}

export const JOB_STEPS = ['create-order', 'close-order', 'release-stock'] as const
export type JobStep = (typeof JOB_STEPS)[number]

export interface Job {
  id: string
  step: JobStep
  payload: Payload
  state: 'waiting' | 'active' | 'completed' | 'failed'
  /** A delayed job waits until then. */
  dueAt: number
  /** Counts its runs; a worker that lost the job can't end the run of another. */
  run: number
}

/** A job in the hands of one worker. */
export interface JobRun {
  job: Job
  run: number
}

export class Jobs {
  readonly #jobs = new Map<string, Job>()
  changes = 0

  /** Does nothing for an id that is kept, in whatever state. */
  add(step: JobStep, key: string, payload: Payload, dueAt = 0): void {
    const id = `${step}-${key}`
    if (this.#jobs.has(id)) return
    this.#jobs.set(id, { id, step, payload, state: 'waiting', dueAt, run: 0 })
    this.changes++
  }

  /** Makes sure that the job will run, in place of a finished one that holds its id. */
  ensure(step: JobStep, key: string, payload: Payload): void {
    const job = this.#jobs.get(`${step}-${key}`)
    if (job?.state === 'failed' || job?.state === 'completed') this.#jobs.delete(job.id)
    this.add(step, key, payload)
  }

  take(step: JobStep, count: number, from: number, now: number): JobRun[] {
    const due = this.waiting(step).filter((job) => job.dueAt <= now)
    return due.splice(due.length === 0 ? 0 : from % due.length, count).map((job) => {
      job.state = 'active'
      job.run++
      this.changes++
      return { job, run: job.run }
    })
  }

  end({ job, run }: JobRun, state: 'completed' | 'failed' | 'waiting', dueAt = 0): void {
    if (job.state !== 'active' || job.run !== run) return
    job.state = state
    job.dueAt = dueAt
  }

  /** The worker's lock has run out: another one gets the job, though the first may still be at it. */
  stall(job: Job): void {
    if (job.state === 'active') job.state = 'waiting'
  }

  waiting(step: JobStep): Job[] {
    return this.all('waiting').filter((job) => job.step === step)
  }

  all(state: Job['state']): Job[] {
    return [...this.#jobs.values()].filter((job) => job.state === state)
  }

  forgetCompleted(): void {
    for (const job of this.all('completed')) this.#jobs.delete(job.id)
  }

  /** The queue Redis is gone; runs that are under way end nowhere. */
  lose(): void {
    for (const job of this.#jobs.values()) job.run++
    this.#jobs.clear()
  }
}

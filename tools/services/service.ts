import type { Home } from './home.ts'
import type { Instance } from './instance.ts'
import type { ProcessSpec } from './keeper.ts'

export type ServiceName = 'postgres' | 'redis' | 'queue-redis' | 'rabbitmq'

/** One private service: it keeps its port, its password and its data when it is started again. */
export interface RunningService {
  url: string
  /** Where its data lie. */
  folder: string
  /** What its leading process was started with. */
  spec: ProcessSpec
  /** Of its leading process; undefined when that has ended. */
  pid(): number | undefined
  /** Resolves when its leading process has ended. */
  ended(): Promise<void>
  /** Starts it again once it has ended, and waits until it is ready. */
  restart(): Promise<void>
}

export interface StartOptions {
  instance: Instance
  home: Home
  names: ServiceName[]
  env: NodeJS.ProcessEnv
  log: (line: string) => void
}

/** Starts the named services in an instance and returns the URL of each. */
export type Starter = (options: StartOptions) => Promise<Map<ServiceName, string>>

export type ServiceUrls = {
  DATABASE_URL: string
  REDIS_URL: string
  QUEUE_REDIS_URL: string
  AMQP_URL: string
}

/** Several servers that stand where the product otherwise has one. */
export interface StartedCluster {
  /** Takes the place of what a plain service would give. */
  urls: Partial<ServiceUrls>
  /** By name, so that a test can kill one and start it again. */
  nodes: ReadonlyMap<string, RunningService>
}

/** Starts a cluster in an instance; `urls` names the plain services that run already. */
export type ClusterStarter = (options: {
  instance: Instance
  home: Home
  env: NodeJS.ProcessEnv
  log: (line: string) => void
  urls: Partial<ServiceUrls>
}) => Promise<StartedCluster>

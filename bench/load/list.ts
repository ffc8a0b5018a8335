/** A load of given purchases: each is sent once, then it ends. For costs a purchase, where the rate does not matter. */
import autocannon from 'autocannon'
import { Answers, type LoadResult } from './job.ts'

export interface ListJob {
  url: string
  /** As many as a multiple of `connections`. */
  requests: { path: string; headers: Record<string, string> }[]
  connections: number
}

function run({ url, requests, connections }: ListJob): Promise<LoadResult> {
  const answers = new Answers()
  let client = 0
  return new Promise((resolve, reject) => {
    const instance = autocannon(
      {
        url,
        connections,
        amount: requests.length,
        setupClient: (made) => {
          const own = requests.filter((_request, i) => i % connections === client)
          client++
          made.setRequests(own.map((request) => ({ method: 'POST', ...request })))
        },
      },
      (error, { errors }) => {
        if (error !== null && error !== undefined) return reject(error as Error)
        answers.errors = errors
        resolve(answers.result())
      },
    )
    instance.on('response', (_client, status, _bytes, durationMs) => answers.add(status, durationMs))
  })
}

process.on('disconnect', () => process.exit(1))
process.once('message', (job) => void run(job as ListJob).then((result) => process.send?.(result)))
process.send?.('ready')

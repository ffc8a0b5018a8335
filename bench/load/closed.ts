/** Load of a closed loop, by autocannon: each connection sends its next request when the last one is answered. */
import autocannon from 'autocannon'
import { Answers, serveJob, type LoadJob, type LoadResult } from './job.ts'

function run(job: LoadJob): Promise<LoadResult> {
  const answers = new Answers()
  let client = 0
  return new Promise((resolve, reject) => {
    const instance = autocannon(
      {
        url: job.url,
        method: job.method,
        connections: job.connections,
        duration: job.seconds,
        sampleInt: 100, // it looks this often whether the time is over
        setupClient: (made) => made.setRequests(requestsOf(job, client++)),
      },
      (error, { errors }) => {
        if (error !== null && error !== undefined) return reject(error as Error)
        answers.errors = errors
        resolve(answers.result())
      },
    )
    // Timed here: autocannon's own time includes the building of all requests ahead of the first.
    instance.on('response', (_client, status, _bytes, durationMs) => answers.add(status, durationMs))
  })
}

function requestsOf({ headers, connections, method }: LoadJob, client: number) {
  if (headers.length < connections) return headers.map((entry) => ({ method, headers: entry }))
  const own = headers.filter((_entry, i) => i % connections === client)
  return own.map((entry) => ({ method, headers: entry }))
}

serveJob(run)

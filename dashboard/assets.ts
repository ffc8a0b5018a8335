/** The files that browsers load: ours and those of the chart library, by name. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, extname, join } from 'node:path'
import { Router } from '@koa/router'

const OWN = new URL('assets/', import.meta.url)
const UPLOT = join(dirname(createRequire(import.meta.url).resolve('uplot/package.json')), 'dist')

interface Asset {
  type: string
  content: Buffer
  etag: string
}

/** Serves `/assets/<name>`. Reads all files once; they are no secret and need no session. */
export function assetRoutes(): Router {
  const assets = new Map<string, Asset>([
    ['uplot.js', readAsset(join(UPLOT, 'uPlot.esm.js'))],
    ['uplot.css', readAsset(join(UPLOT, 'uPlot.min.css'))],
  ])
  for (const name of readdirSync(OWN)) assets.set(name, readAsset(new URL(name, OWN)))
  const router = new Router()
  router.get('/assets/:name', (ctx) => {
    const asset = assets.get(ctx.params.name ?? '')
    if (asset === undefined) return
    ctx.type = asset.type
    ctx.set('ETag', asset.etag)
    ctx.set('Cache-Control', 'no-cache') // asked for again, and seldom sent again
    ctx.status = 200
    if (ctx.fresh) ctx.status = 304
    else ctx.body = asset.content
  })
  return router
}

function readAsset(file: string | URL): Asset {
  const content = readFileSync(file)
  const digest = createHash('sha256').update(content).digest('base64url').slice(0, 22)
  return { type: extname(String(file)), content, etag: `"${digest}"` }
}

/** Reference: bare Koa and its router, saying hello. */
import { Router } from '@koa/router'
import Koa from 'koa'

const router = new Router()
router.get('/hello/:id', (ctx) => {
  ctx.body = { code: 0, message: 'OK', data: { hello: ctx.params.id } }
})

const app = new Koa()
app.use(router.routes())
app.listen(Number(process.env.PORT), '127.0.0.1', () => process.send?.('ready'))
process.on('disconnect', () => process.exit(0))

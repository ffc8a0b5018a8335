/** A browser without scripts at the dashboard: it follows links, fills in forms, presses buttons. */
import { createAccount, type Account } from '../factories/accounts.ts'
import type { Role } from '../../src/users/model.ts'
import { logIn } from './dashboard.ts'
import { createClient, type Reply } from './http.ts'
import type { World } from './world.ts'

export type Fields = Record<string, string>

export interface Browser {
  account: Account
  get(path: string): Promise<Reply<unknown>>
  /** Sends a form with these fields, as they were on the page that it stood on. */
  post(path: string, fields: Fields): Promise<Reply<unknown>>
  /** The hidden fields of the form that goes to `action`, on the page at `path`. */
  fieldsOf(path: string, action: string): Promise<Fields>
  /** Opens a page, fills in its form for `action`, and presses its button. */
  press(path: string, action: string, filledIn?: Fields): Promise<Reply<unknown>>
}

export async function openBrowser(world: World, role: Role): Promise<Browser> {
  const client = createClient(world.dashboardUrl)
  const account = await createAccount(world, role)
  const { cookie } = await logIn(client, account)
  const get: Browser['get'] = (path) => client('GET', path, { headers: { cookie, accept: 'text/html' } })
  const post: Browser['post'] = (path, fields) =>
    client('POST', path, {
      raw: new URLSearchParams(fields).toString(),
      headers: { cookie, accept: 'text/html', 'content-type': 'application/x-www-form-urlencoded' },
    })
  const fieldsOf: Browser['fieldsOf'] = async (path, action) => {
    const fields = formOf((await get(path)).text, action)
    if (fields === undefined) throw new Error(`no form for ${action} on ${path}`)
    return fields
  }
  const press: Browser['press'] = async (path, action, filledIn = {}) =>
    post(action, { ...(await fieldsOf(path, action)), ...filledIn })
  return { account, get, post, fieldsOf, press }
}

/** Hidden fields of a page's form; undefined when it has no such form. */
export function formOf(html: string, action: string): Fields | undefined {
  const form = html
    .split('<form ')
    .slice(1)
    .map((rest) => rest.split('</form>')[0] ?? '')
    .find((text) => text.includes(`action="${action}"`) && text.includes('method="post"'))
  if (form === undefined) return undefined
  const inputs = form.match(/<input type="hidden"(?: [\w-]+="[^"]*")*/g) ?? []
  const attribute = (input: string, name: string) => new RegExp(` ${name}="([^"]*)"`).exec(input)?.[1] ?? ''
  return Object.fromEntries(
    inputs.map((input) => [attribute(input, 'name'), decoded(attribute(input, 'value'))]),
  )
}

function decoded(html: string): string {
  return html.replaceAll('&lt;', '<').replaceAll('&quot;', '"').replaceAll('&amp;', '&')
}

/** What a reader sees of a page. */
export function textOf({ text }: Reply<unknown>): string {
  return text
    .replace(/^.*<main/s, '<main')
    .replaceAll(/<[^>]+>/g, ' ')
    .replaceAll('&quot;', '"')
    .replaceAll(/\s+/g, ' ')
}

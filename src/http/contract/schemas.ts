/** The components of the OpenAPI document; schemas of zod as JSON Schema 2020-12, which is what OpenAPI 3.1 speaks. */
import { z } from 'zod'

export type Json = Readonly<Record<string, unknown>>

/** Collects what is used more than once: schemas that have an id, and responses. */
export class Components {
  readonly schemas: Record<string, Json> = {}
  readonly responses: Record<string, Json> = {}

  /** @returns a reference to a response, which is made once for each name */
  response(name: string, make: () => Json): Json {
    this.responses[name] ??= make()
    return { $ref: `#/components/responses/${name}` }
  }

  /** What a client may send. */
  input(schema: z.ZodType): Json {
    return this.#convert(schema, 'input')
  }

  /** What a client gets. More fields may come one day, so none are ruled out. */
  output(schema: z.ZodType): Json {
    return this.#convert(schema, 'output')
  }

  #convert(schema: z.ZodType, io: 'input' | 'output'): Json {
    const converted = z.toJSONSchema(schema, { io, override: ({ jsonSchema }) => plain(jsonSchema, io) })
    const text = JSON.stringify(converted).replaceAll('"#/$defs/', '"#/components/schemas/')
    const { $schema: _dialect, $defs = {}, ...rest } = JSON.parse(text)
    for (const [id, component] of Object.entries($defs as Record<string, Json>)) {
      const known = this.schemas[id]
      if (known !== undefined && JSON.stringify(known) !== JSON.stringify(component))
        throw new Error(`two schemas have the id ${id}`)
      this.schemas[id] = component
    }
    return rest
  }
}

/** Leaves out what only repeats the format or the range of numbers in JavaScript. */
function plain(schema: Record<string, unknown>, io: 'input' | 'output'): void {
  if (schema.format !== undefined) delete schema.pattern
  if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum
  if (io === 'output' && schema.additionalProperties === false) delete schema.additionalProperties
}

/** One line of the report. `mend` is the command or setting that puts it right. */
export interface Finding {
  what: string
  ok: boolean
  detail: string
  mend?: string
}

import type { Command } from "./wire.js"

/** one command and those that belong to it @internal */
export class Running {
  /** what is sent now; a statement may have to be prepared first, or tried again */
  command: Command | undefined = undefined
  /** somebody waits for it: its fiber has not been interrupted */
  wanted = true
  /** the answer to `command` has begun */
  answered = false

  constructor(
    readonly done: (error: unknown) => void,
    /** it ends by itself in a moment, or must not be cancelled */
    public ending: boolean,
    /** how long it may go on before it is cancelled, in milliseconds */
    readonly patience: number
  ) {}
}

/** Before any test: the programs that tests run are there, or it is said that they are not. */
import type { TestProject } from 'vitest/node'
import { NatsServer } from './harness/nats-server.js'
import { ensurePrograms, lacks } from './harness/programs.js'

declare module 'vitest' {
  export interface ProvidedContext {
    /** A broker for all processes that tests start; '' where there is none. */
    brokerUrl: string
  }
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  ensurePrograms()
  const broker = lacks('nats-server') ? undefined : await NatsServer.start()
  project.provide('brokerUrl', broker?.url ?? '')
  return async () => await broker?.close()
}

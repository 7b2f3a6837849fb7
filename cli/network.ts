/** How a command finds other devices: what those that do have in common. */
import type { Command } from 'commander'
import type { DevicePort, NetworkOptions } from '../multiwriter/index.ts'
import { usage } from './exit.ts'
import { collect } from './numbers.ts'

export interface NetworkFlags {
  readonly bootstrap?: readonly string[]
  readonly host?: string
}

export function withNetwork(command: Command): Command {
  return command
    .option(
      '--bootstrap <host:port>',
      'a DHT node to start from, instead of the public ones',
      collect
    )
    .option('--host <address>', 'the address to listen on; 127.0.0.1 stays on this machine')
}

export function networkOf({ bootstrap, host }: NetworkFlags): NetworkOptions {
  return {
    ...(bootstrap === undefined ? {} : { bootstrap: bootstrap.map(nodeOf) }),
    ...(host === undefined ? {} : { host, firewalled: !isLoopback(host) })
  }
}

/** Has the device on the network, with all its spaces open, while the task runs. */
export async function onNetwork<T>(
  port: DevicePort,
  flags: NetworkFlags,
  task: () => Promise<T>
): Promise<T> {
  const hold = port.stream('network', networkOf(flags))
  await hold.next()
  try {
    return await task()
  } finally {
    await hold.return?.()
  }
}

function isLoopback(host: string): boolean {
  return host === '::1' || host.startsWith('127.')
}

function nodeOf(text: string): { host: string; port: number } {
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(text) ?? []
  if (host === undefined) throw usage(`--bootstrap expects HOST:PORT, got ${JSON.stringify(text)}`)
  return { host, port: Number(port) }
}

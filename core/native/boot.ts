/** A name for the present run of the machine: tells a killed process (nothing is lost) from a power cut (tails may be). */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { uptime } from 'node:os'
import { promisify } from 'node:util'

export async function bootId(): Promise<string> {
  if (process.platform === 'linux') {
    return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
  }
  if (process.platform === 'darwin') {
    const { stdout } = await promisify(execFile)('sysctl', ['-n', 'kern.bootsessionuuid'])
    return stdout.trim()
  }
  return bootMinute()
}

/** Elsewhere: the minute the machine started. A clock that is set makes it differ, which errs on the careful side. */
function bootMinute(): string {
  const startedAt = Date.now() - uptime() * 1000
  return `minute-${Math.round(startedAt / 60_000)}`
}

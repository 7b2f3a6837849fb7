/** Time that a busy machine does not lengthen. */

/** What this process has computed so far, in ms. */
export function cpuTime(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** Opens a page in the person's own browser, where there is a person, a desktop, and a browser of theirs. */
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export function canOpenBrowser(): boolean {
  const { CI, SSH_CONNECTION, DISPLAY, WAYLAND_DISPLAY } = process.env
  if (!process.stdout.isTTY || CI !== undefined || SSH_CONNECTION !== undefined) return false
  const isDesktop = process.platform === 'darwin' || process.platform === 'win32'
  return isDesktop || DISPLAY !== undefined || WAYLAND_DISPLAY !== undefined
}

/**
 * Arguments of a process can be seen by every user of the machine, and the address holds a token: so the browser is given a file
 * of ours that leads there, which only this user can read. Whoever has no browser has read the address on the screen.
 * @returns how to remove the file
 */
export async function openBrowser(url: string): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'manyhands-open-'))
  const file = join(folder, 'manyhands.html')
  const page = `<!doctype html><meta http-equiv="refresh" content="0;url=${url}" /><a href="${url}">manyhands</a>\n`
  await writeFile(file, page, { mode: 0o600 })
  const [command, ...args] = opener()
  const child = spawn(command, [...args, file], { detached: true, stdio: 'ignore' })
  child.on('error', () => {})
  child.unref()
  return () => rm(folder, { recursive: true, force: true })
}

function opener(): [string, ...string[]] {
  if (process.platform === 'darwin') return ['open']
  if (process.platform === 'win32') return ['cmd', '/c', 'start', '']
  return ['xdg-open']
}

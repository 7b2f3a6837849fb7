/** Who gets a page, and who gets a connection: everybody else on this machine and in this browser is kept out. */
import http from 'node:http'
import net from 'node:net'
import { once } from 'node:events'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { WebSocket } from 'ws'
import { PageServer, type PageServerOptions } from '../../demo-editor/page-server.ts'

const TOKEN = 'the right token'

async function withServer(
  body: (server: PageServer, pages: WebSocket[]) => Promise<void>,
  options: Partial<PageServerOptions> = {}
): Promise<void> {
  const pages: WebSocket[] = []
  const server = await PageServer.listen({
    files: { '/index.html': '<p>', '/page.js': 'x' },
    token: TOKEN,
    port: 0,
    onpage: (socket) => {
      pages.push(socket)
      socket.send('welcome')
    },
    ...options
  })
  try {
    await body(server, pages)
  } finally {
    await server.close()
  }
}

function dial(server: PageServer, token: string, headers: Record<string, string>): WebSocket {
  const url = `ws://127.0.0.1:${server.port}/socket?token=${encodeURIComponent(token)}`
  return new WebSocket(url, { headers })
}

/** The close code, or the status of the refusal. */
function refusalOf(socket: WebSocket): Promise<number> {
  return new Promise((resolve) => {
    socket.on('unexpected-response', (_, response) => {
      resolve(response.statusCode ?? 0)
      socket.terminate()
    })
    socket.on('close', (code) => resolve(code))
    socket.on('error', () => {})
  })
}

test('page server: our own page with the token gets a connection', () =>
  withServer(async (server, pages) => {
    const socket = dial(server, TOKEN, { Origin: server.origin })
    const [message] = await once(socket, 'message')
    assert.is(String(message), 'welcome')
    assert.is(pages.length, 1)
  }))

test('page server: a wrong token is told so by a close code, and reaches nothing', () =>
  withServer(async (server, pages) => {
    for (const token of ['', 'wrong', `${TOKEN} `, TOKEN.slice(0, -1)]) {
      assert.is(await refusalOf(dial(server, token, { Origin: server.origin })), 4401)
    }
    assert.is(pages.length, 0)
  }))

test('page server: pages of other origins are refused, also with the token', () =>
  withServer(async (server, pages) => {
    const foreign: Record<string, string>[] = [
      {},
      { Origin: 'http://example.org' },
      { Origin: 'null' },
      { Origin: `http://127.0.0.1:${server.port + 1}` },
      { Origin: `http://localhost:${server.port}` },
      { Origin: server.origin, Host: 'rebound.example.org' },
      { Origin: server.origin, Host: `localhost:${server.port}` }
    ]
    for (const headers of foreign) {
      assert.is(await refusalOf(dial(server, TOKEN, headers)), 403, JSON.stringify(headers))
    }
    assert.is(pages.length, 0)
  }))

function get(server: PageServer, path: string, options: http.RequestOptions = {}) {
  return new Promise<http.IncomingMessage & { readonly text: string }>((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port: server.port, path, ...options })
    request.on('error', reject)
    request.on('response', (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () => resolve(Object.assign(response, { text })))
    })
    request.end()
  })
}

test('page server: serves its files, nothing else, and under no other name', () =>
  withServer(async (server) => {
    assert.is((await get(server, '/')).text, '<p>')
    assert.is(
      (await get(server, '/page.js')).headers['content-type'],
      'text/javascript; charset=utf-8'
    )
    for (const path of ['/nothing', '/__proto__', '/constructor', '/../package.json', '//', '/%'])
      assert.is((await get(server, path)).statusCode, 404, path)
    const rebound = { headers: { Host: `rebound.example.org:${server.port}` } }
    assert.is((await get(server, '/', rebound)).statusCode, 403)
    assert.is((await get(server, '/', { method: 'POST' })).statusCode, 403)
  }))

test('page server: its policy allows what is its own, and frames only whom it names', () =>
  withServer(
    async (server) => {
      const policy = String((await get(server, '/')).headers['content-security-policy'])
      for (const rule of ["default-src 'none'", "script-src 'self'", "style-src 'self'"])
        assert.ok(policy.includes(rule), rule)
      assert.not.match(policy, /unsafe|\*|data:/)
      assert.match(policy, 'frame-ancestors http://127.0.0.1:1;')
      assert.match(policy, "frame-src 'none'")
    },
    { framedBy: ['http://127.0.0.1:1'] }
  ))

test('page server: garbage on the wire ends its own connection only', () =>
  withServer(async (server) => {
    for (const garbage of ['\0\0\0', 'GET // HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n']) {
      const socket = net.connect(server.port, '127.0.0.1')
      socket.on('error', () => {})
      socket.end(garbage)
      socket.resume()
      await once(socket, 'close')
    }
    assert.is((await get(server, '/')).statusCode, 200)
  }))

test('page server: is reached on this machine only', () =>
  withServer(async (server) => {
    const outside = Object.values((await import('node:os')).networkInterfaces())
      .flat()
      .find((address) => address?.family === 'IPv4' && !address.internal)
    if (outside === undefined) return
    const socket = net.connect(server.port, outside.address)
    const [error] = await once(socket, 'error')
    assert.is((error as NodeJS.ErrnoException).code, 'ECONNREFUSED')
  }))

test.run()

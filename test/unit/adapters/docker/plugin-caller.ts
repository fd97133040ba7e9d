import { request } from 'node:http';

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  // biome-ignore lint/suspicious/noExplicitAny: each test knows the shape it asks for
  readonly body: any;
}

/** Calls a plugin as dockerd does: POST, its Accept header, no Content-Type. */
export function callPlugin(socketPath: string, path: string, body?: object | string, method = 'POST'): Promise<Reply> {
  const headers = { Accept: 'application/vnd.docker.plugins.v1.2+json', Host: 'plugin.moby.localhost' };
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, path, method, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: JSON.parse(text) }),
      );
    });
    sent.on('error', reject);
    sent.end(typeof body === 'object' ? JSON.stringify(body) : body);
  });
}

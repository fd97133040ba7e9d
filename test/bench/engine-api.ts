import { request } from 'node:http';
import type { Host } from '../lab/host.ts';

/** One request to the host's engine, without the `docker` command. */
async function post(host: Host, path: string, body: object): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const headers = { 'Content-Type': 'application/json' };
  const call = request({ socketPath: host.engine.socket, path, method: 'POST', headers }, (response) => {
    let text = '';
    response.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    response.on('end', () => {
      if (response.statusCode === 200) resolve();
      else reject(new Error(`${path}: ${response.statusCode} ${text}`));
    });
  });
  call.on('error', reject);
  call.end(JSON.stringify(body));
  await promise;
}

export function engineConnect(host: Host, network: string, container: string, alias?: string): Promise<void> {
  const config = alias === undefined ? {} : { EndpointConfig: { Aliases: [alias] } };
  return post(host, `/networks/${network}/connect`, { Container: container, ...config });
}

export function engineDisconnect(host: Host, network: string, container: string): Promise<void> {
  return post(host, `/networks/${network}/disconnect`, { Container: container });
}

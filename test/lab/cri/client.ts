/** A client of CRI, the protocol by which Kubernetes' kubelet asks a runtime for pods. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  createFileRegistry,
  type DescMessage,
  type DescMethod,
  fromBinary,
  fromJson,
  type JsonValue,
  toBinary,
  toJson,
} from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { Client, credentials } from '@grpc/grpc-js';
import { ROOT } from '../host.ts';
import { expectSuccess, run } from '../process.ts';

const SERVICE = 'runtime.v1.RuntimeService';

/** What is answered, in the JSON of protobuf. */
// biome-ignore lint/suspicious/noExplicitAny: each test knows the shape it asks for
type Answer = any;

export class CriClient {
  readonly #client: Client;
  readonly #methods: Readonly<Record<string, DescMethod>>;

  private constructor(socket: string, methods: Readonly<Record<string, DescMethod>>) {
    this.#client = new Client(`unix:${socket}`, credentials.createInsecure(), {
      // Its server takes no path for a name.
      'grpc.default_authority': 'localhost',
    });
    this.#methods = methods;
  }

  /** `socket`: as a path of this machine. `directory`: for a file. */
  static async open(socket: string, directory: string): Promise<CriClient> {
    const file = join(directory, 'cri.binpb');
    expectSuccess(
      await run([
        `${ROOT}/node_modules/.bin/buf`,
        'build',
        `${ROOT}/test/lab/cri`,
        '--as-file-descriptor-set',
        '-o',
        file,
      ]),
    );
    const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(file)));
    const service = registry.getService(SERVICE);
    if (!service) throw new Error(`${file} has no ${SERVICE}`);
    return new CriClient(socket, Object.fromEntries(service.methods.map((method) => [method.name, method])));
  }

  close(): void {
    this.#client.close();
  }

  /** Throws what the runtime refuses. */
  ask(method: string, request: JsonValue = {}): Promise<Answer> {
    const { input, output } = this.#methods[method]!;
    const sent = fromJson(input, request);
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        `/${SERVICE}/${method}`,
        (message: typeof sent) => Buffer.from(toBinary(input, message)),
        (bytes: Buffer) => read(output, bytes),
        sent,
        { deadline: Date.now() + 100_000 },
        (error, answer) => (error ? reject(error) : resolve(answer)),
      );
    });
  }
}

/** A runtime tells more than is asked here. */
function read(schema: DescMessage, bytes: Buffer): Answer {
  return toJson(schema, fromBinary(schema, bytes), { alwaysEmitImplicit: true });
}

/** Kubernetes' way to containerd (CRI), as the kubelet asks: pods are on the cluster's networks by CNI. */
import { expect, test } from 'vitest';
import { Containerd } from '../lab/containerd.ts';
import { controlGroupOf } from '../lab/control-groups.ts';
import { CriClient } from '../lab/cri/client.ts';
import { endpointNames, endpointRows } from '../lab/docker-network.ts';
import type { Host } from '../lab/host.ts';
import { attach } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const BUSYBOX = 'docker.io/library/busybox:local';

let containerd: Containerd;
let cri: CriClient;

const lab = useLab({
  hosts: 2,
  cluster: true,
  prepare: async ({ hosts }) => {
    const [one] = hosts as [Host, Host];
    await one.mustOverlayd('network', 'create', '--subnet', '10.61.0.0/24', 'web');
    await one.must(['mount', '-t', 'tmpfs', 'tmpfs', '/opt']);
    await one.mustOverlayd('cni', 'install', '--network', 'web');
    // containerd sets up a pod's loopback by a plugin as well.
    await one.must(['cp', '/usr/lib/cni/loopback', '/opt/cni/bin']);
    containerd = new Containerd(one);
    await containerd.start({ cri: true });
    await containerd.importImage(BUSYBOX, 'k8s.io');
    cri = await CriClient.open(containerd.socket, one.directory);
  },
});
const one = () => lab().host(1);
const two = () => lab().host(2);

/** A pod of Kubernetes' namespace `shop`. */
function podOf(name: string, more: object = {}) {
  return {
    ...{ metadata: { name, uid: `uid-${name}`, namespace: 'shop' }, hostname: name },
    ...{ dnsConfig: { servers: ['10.61.0.1'] }, linux: { cgroupParent: controlGroupOf(one()) } },
    ...more,
  };
}

async function runPod(config: ReturnType<typeof podOf>): Promise<string> {
  const { podSandboxId } = await cri.ask('RunPodSandbox', { config });
  return podSandboxId;
}

async function runContainer(pod: string, config: ReturnType<typeof podOf>, ...command: string[]): Promise<string> {
  const container = { metadata: { name: 'main' }, image: { image: BUSYBOX }, command };
  const { containerId } = await cri.ask('CreateContainer', {
    ...{ podSandboxId: pod, config: container, sandboxConfig: config },
  });
  await cri.ask('StartContainer', { containerId });
  return containerId;
}

async function remove(pod: string): Promise<void> {
  await cri.ask('StopPodSandbox', { podSandboxId: pod });
  await cri.ask('StopPodSandbox', { podSandboxId: pod });
  await cri.ask('RemovePodSandbox', { podSandboxId: pod });
}

test('the runtime’s network is ready', async () => {
  await until('it to have read the configuration', async () => {
    const { status } = await cri.ask('Status');
    const { conditions } = status as { conditions: { type: string; status: boolean; message: string }[] };
    const ready = conditions.find(({ type }) => type === 'NetworkReady')!;
    if (ready.status) return true;
    throw new Error(ready.message);
  });
});

test('a pod goes by its name on all hosts, has its ports, and knows the names of others', async () => {
  await attach(two(), 'store', 'web');
  const config = podOf('front.v1', { portMappings: [{ containerPort: 80, hostPort: 8081 }] });
  const pod = await runPod(config);
  const container = await runContainer(pod, config, 'nc', '-ll', '-p', '80', '-e', 'echo', 'served');
  const { status } = await cri.ask('PodSandboxStatus', { podSandboxId: pod });
  const rows = (await endpointRows(two())).filter(({ Node }) => Node === 'h1');
  expect(rows).toMatchObject([{ Name: 'front-v1', Tool: 'cni', IPv4Address: `${status.network.ip}/24` }]);

  const asked = await cri.ask('ExecSync', { containerId: container, cmd: ['ping', '-c', '1', 'store'], timeout: '20' });
  expect(Buffer.from(asked.stdout, 'base64').toString()).toContain('1 packets received');
  await two().mustExec('store', ['ping', '-c', '1', '-W', '5', 'front-v1']);
  const call = () => two().run(['busybox', 'nc', '-w', '5', one().address, '8081'], { input: '' });
  await until('the pod to serve', async () => (await call()).stdout === 'served\n');

  const second = podOf('second', { portMappings: [{ containerPort: 80, hostPort: 8081 }] });
  await expect(runPod(second)).rejects.toThrow(
    /8081\/tcp of this host is published by cni for its container front-v1 already/,
  );
  await remove(pod);
  expect(await endpointNames(one())).toEqual(['store']);
  expect(await one().json('publish', 'ls')).toEqual([]);
});

test('a pod of the same name in another namespace is told apart, and both go while the agent is away and back', async () => {
  const [mine, other] = [podOf('api'), podOf('api', { metadata: { name: 'api', uid: 'uid-2', namespace: 'other' } })];
  const pods = [await runPod(mine), await runPod(other)];
  const names = await endpointNames(one());
  expect(names).toEqual([pods[1]!.slice(0, 12), 'api', 'store'].sort());
  await one().agent.kill();
  await expect(cri.ask('StopPodSandbox', { podSandboxId: pods[0]! })).rejects.toThrow(/overlayd/);
  await one().agent.start();
  for (const pod of pods) await remove(pod);
  expect(await endpointNames(one())).toEqual(['store']);
  cri.close();
  await containerd.stop();
});

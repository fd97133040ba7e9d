import { expect, it } from 'vitest';
import { groupId } from '../../../../src/adapters/grpc/control-server.ts';

const GROUPS = 'root:x:0:\noverlayd-x:x:7:\noverlayd:x:998:alice\n';

it('finds the group that may use the socket by its whole name', () => {
  expect(groupId(GROUPS, 'overlayd')).toBe(998);
  expect(groupId(GROUPS, 'docker')).toBeUndefined();
  expect(groupId('overlayd:x::\n', 'overlayd')).toBeUndefined();
});

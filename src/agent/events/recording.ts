/** The seam at the log: a line with `event` is an event besides, whatever level the log itself shows. */
import type { EventType } from '../../core/events/event-types.ts';
import type { HostEvent } from '../../core/events/host-event.ts';
import type { LogFields, Logger } from '../../ports/runtime.ts';

export type Record = (level: HostEvent['level'], type: EventType, fields: object, message: string) => void;

/** Fields of children that say which part of the agent speaks, or on which host: of no interest in events. */
const OF_THE_LOG = ['node', 'task'];

export function recording(logger: Logger, record: Record, context: object = {}): Logger {
  const note = (level: HostEvent['level'], { event, ...fields }: LogFields, message: string) => {
    if (event !== undefined) record(level, event, { ...context, ...fields }, message);
  };
  return {
    error: (fields, message) => {
      logger.error(fields, message);
      note('error', fields, message);
    },
    warn: (fields, message) => {
      logger.warn(fields, message);
      note('warn', fields, message);
    },
    info: (fields, message) => {
      logger.info(fields, message);
      note('info', fields, message);
    },
    debug: (fields, message) => logger.debug(fields, message),
    child: (fields) => {
      const told = Object.entries(fields).filter(([name]) => !OF_THE_LOG.includes(name));
      return recording(logger.child(fields), record, { ...context, ...Object.fromEntries(told) });
    },
  };
}

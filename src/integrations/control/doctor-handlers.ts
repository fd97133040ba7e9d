/** The control service's part that finds out what is wrong. */
import type { Doctor } from '../../agent/doctor.ts';
import type { DiagnoseRequest, Diagnosis } from '../../gen/overlayd/v1/control.ts';
import { findingMessage } from './status.ts';

export function doctorHandlers(doctor: Doctor) {
  return {
    diagnose: async (asked: DiagnoseRequest): Promise<Diagnosis> => {
      const { checks, findings } = await doctor.diagnose(asked);
      return { checks: [...checks], findings: findings.map(findingMessage) };
    },
  };
}

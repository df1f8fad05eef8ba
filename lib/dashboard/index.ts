export {
  SemaphoreDashboardModule,
  type SemaphoreDashboardOptionsFactory,
} from './dashboard.module.js';
export type {
  DashboardAccess,
  DashboardDecision,
  SemaphoreDashboardOptions,
} from './dashboard.options.js';

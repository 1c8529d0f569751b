/**
 * What the bundle of workflow code is made of. Preloaded modules are evaluated once and frozen instead of once for each
 * workflow: code that keeps no state in its modules, as ours.
 */
export const WORKFLOW_CODE = {
  workflowsPath: require.resolve('../workflows'),
  preloadModules: ['@temporalio/workflow', require.resolve('../workflows')],
};

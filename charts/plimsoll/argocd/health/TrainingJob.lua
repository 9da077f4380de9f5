-- Health of a TrainingJob for Argo CD. A model that missed its gates is Degraded: no version came of it.
local function health(state, message)
  return { status = state, message = message or "" }
end

local status = obj.status or {}
if status.observedGeneration == nil then
  return health("Progressing", "waiting for the operator")
end
if status.observedGeneration < obj.metadata.generation then
  return health("Progressing", "waiting for the operator to act on the latest spec")
end

local message = status.summary
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Ready" and condition.message ~= "" then
    message = condition.message
  end
end

local states = { Succeeded = "Healthy", Suspended = "Suspended", GatesFailed = "Degraded", Failed = "Degraded" }
return health(states[status.phase or "Pending"] or "Progressing", message)

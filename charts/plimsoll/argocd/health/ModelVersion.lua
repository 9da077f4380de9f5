-- Health of a ModelVersion for Argo CD. One that waits for a person is Suspended.
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

local states = { Ready = "Healthy", PendingApproval = "Suspended", Rejected = "Degraded", Invalid = "Degraded" }
return health(states[status.phase or "Verifying"] or "Progressing", message)

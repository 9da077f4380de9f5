-- Health of a ServingPool for Argo CD. One without a ready pod is Degraded once it had one.
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

local message = status.message
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Ready" and condition.message ~= "" then
    message = condition.message
  end
end

local states = { Ready = "Healthy", Degraded = "Degraded" }
return health(states[status.phase or "Pending"] or "Progressing", message)

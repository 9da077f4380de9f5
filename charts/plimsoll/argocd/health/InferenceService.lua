-- Health of an InferenceService for Argo CD. After a rollback it serves, and is Degraded: what Git asks for is not what serves.
local function condition(status, wanted)
  for _, found in ipairs(status.conditions or {}) do
    if found.type == wanted then
      return found
    end
  end
  return {}
end

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

local ready = condition(status, "Ready")
local promoted = condition(status, "Promoted")
local healthy = condition(status, "Healthy")
local phase = status.phase or "Pending"

if phase == "RollingBack" or phase == "RolledBack" then
  return health("Degraded", promoted.message or status.message)
end
if phase == "Held" then
  if ready.status == "True" then
    return health("Suspended", status.message)
  end
  return health("Degraded", ready.message)
end
if phase ~= "Idle" then
  return health("Progressing", status.message or ready.message)
end
if ready.status ~= "True" then
  return health("Degraded", ready.message)
end
if promoted.status == "False" then
  return health("Degraded", promoted.message)
end
if healthy.status == "False" then
  return health("Degraded", healthy.message)
end
return health("Healthy", ready.message)

module plimsoll.dev/devcluster/pause

go 1.26

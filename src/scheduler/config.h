// Config: what KubeSchedulerConfiguration says, and what it is without a file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "scheduler/plugin_args.h"
#include "scheduler/plugins/table.h"
#include "scheduler/queue.h"
#include "scheduler/search.h"

namespace km::scheduler {

struct ProfileConfig {
  std::string schedulerName = "default-scheduler";
  std::vector<PluginChoice> plugins = defaultPlugins();
  bool preempts = true;  // DefaultPreemption is enabled
  PluginArgs args;
  int percentageOfNodesToScore = 0;
};

struct Config {
  std::vector<ProfileConfig> profiles{1};
  Backoff backoff;
};

Profile makeProfile(const ProfileConfig& config, const Listers& listers);

}  // namespace km::scheduler

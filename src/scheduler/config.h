// Config: what KubeSchedulerConfiguration says, and what it is without a file.
#pragma once

#include <optional>
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
  // Of a scheduler that is a process of its own; empty, zero or absent: not said.
  std::string kubeconfig;
  std::optional<bool> leaderElect;
  Duration leaseDuration{}, renewDeadline{}, retryPeriod{};
  std::string leaseName, leaseNamespace;
};

// A KubeSchedulerConfiguration of kubescheduler.config.k8s.io/v1, as YAML or JSON. Unknown fields are errors,
// and so is what we cannot do.
Result<Config> parseConfig(std::string_view text);

Profile makeProfile(const ProfileConfig& config, const Listers& listers);

}  // namespace km::scheduler

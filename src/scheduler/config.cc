#include "scheduler/config.h"

namespace km::scheduler {

Profile makeProfile(const ProfileConfig& config, const Listers& listers) {
  Profile p;
  p.schedulerName = config.schedulerName;
  p.percentageOfNodesToScore = config.percentageOfNodesToScore;
  p.preempts = config.preempts;
  for (const PluginChoice& c : config.plugins) {
    if (auto plugin = makePlugin(c.name, config.args, listers))
      p.plugins.push_back({std::move(plugin), c.weight, c.stages});
  }
  return p;
}

}  // namespace km::scheduler

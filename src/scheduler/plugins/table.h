// The table of all plugins.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/framework.h"
#include "scheduler/plugin_args.h"

namespace km::scheduler {

struct PluginChoice {
  std::string name;
  int weight = 0;         // of its score
  uint32_t stages = ~0u;  // at which it runs, of those it has (Plugin::Stage)
};

// The default profile, in upstream's order, as far as it is built.
std::vector<PluginChoice> defaultPlugins();
bool isPlugin(std::string_view name);
// Null if there is none of this name.
std::unique_ptr<Plugin> makePlugin(std::string_view name, const PluginArgs& args, const Listers& listers);

}  // namespace km::scheduler

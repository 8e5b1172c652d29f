// Lifecycle hooks. They block.
#pragma once

#include "kubelet/node_context.h"

namespace km::kubelet {

struct HookContext {
  NodeContext* node = nullptr;
  const v1::Pod* pod = nullptr;
  const v1::Container* container = nullptr;
  std::string id;
  std::vector<std::string> podIps;
};

constexpr int kStopping = 503;  // the code of what ended because the kubelet stops

Status runHook(const HookContext& context, const v1::LifecycleHandler& handler, Duration timeout);
// A number, or the number of the container's port of that name.
Result<int> portOf(const codec::IntOrString& port, const v1::Container& c);

}  // namespace km::kubelet

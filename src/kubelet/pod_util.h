// Facts that follow from a pod alone.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "api/types/core_v1.h"
#include "base/clock.h"

namespace km::kubelet {

namespace v1 = api::core_v1;
using PodPtr = std::shared_ptr<const v1::Pod>;

enum class ContainerKind { kInit, kMain, kEphemeral };

// Calls back for each container: init, main, then ephemeral ones (as a Container of the same fields).
void eachContainer(const v1::Pod& pod, const std::function<void(const v1::Container&, ContainerKind)>& f);
// A copy of the ephemeral container's fields as a Container's.
v1::Container asContainer(const v1::EphemeralContainer& e);
const v1::Container* findContainer(const v1::Pod& pod, std::string_view name);  // init and main

// An init container with restartPolicy Always.
bool isRestartableInit(const v1::Container& c);
// Whether the container is run again after it ended with this code: its own policy and rules win over the pod's.
bool shouldRestart(const v1::Pod& pod, const v1::Container& c, ContainerKind kind, int exitCode);

// "Guaranteed", "Burstable", "BestEffort": as written by the server, else computed.
std::string qosClass(const v1::Pod& pod);
int64_t gracePeriod(const v1::Pod& pod);   // of its deletion, else of its spec
bool isStatic(const v1::Pod& pod);
bool isEnded(const v1::Pod& pod);          // phase Succeeded or Failed
std::string podLogDirectory(const v1::Pod& pod);  // "NS_NAME_UID"
std::string describe(const v1::Pod& pod);  // "NAME_NS(UID)"
// The annotation io.kubernetes.container.hash: changes when a container must be made anew.
std::string containerHash(const v1::Container& c);
// `$(NAME)` references; unknown ones stay, "$$" is "$".
std::string expand(std::string_view text, const std::function<const std::string*(std::string_view)>& value);

WallTime fromNanos(int64_t unixNanos);
int64_t toNanos(WallTime t);

}  // namespace km::kubelet

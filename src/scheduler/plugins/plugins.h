// The built plugins; each file of this folder makes one or a few.
#pragma once

#include "scheduler/framework.h"

namespace km::scheduler {

std::unique_ptr<Plugin> makeSchedulingGates();
std::unique_ptr<Plugin> makeNodeUnschedulable();
std::unique_ptr<Plugin> makeNodeName();
std::unique_ptr<Plugin> makeTaintToleration();
std::unique_ptr<Plugin> makeNodeAffinity();
std::unique_ptr<Plugin> makeNodePorts();
std::unique_ptr<Plugin> makeNodeResourcesFit();
std::unique_ptr<Plugin> makeNodeResourcesBalancedAllocation();
std::unique_ptr<Plugin> makeImageLocality();

// Whether a toleration covers a taint.
bool tolerates(const api::core_v1::Toleration& t, const api::core_v1::Taint& taint);

}  // namespace km::scheduler

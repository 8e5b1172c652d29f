#include "controllers/controller_table.h"

#include "controllers/deployment/controller.h"
#include "controllers/endpoints/endpoints_controller.h"
#include "controllers/endpoints/slice_controller.h"
#include "controllers/garbagecollector/controller.h"
#include "controllers/namespace/controller.h"
#include "controllers/nodeipam/controller.h"
#include "controllers/nodelifecycle/controller.h"
#include "controllers/nodelifecycle/taint_eviction.h"
#include "controllers/podgc/controller.h"
#include "controllers/replicaset/controller.h"
#include "controllers/rootca/controller.h"
#include "controllers/serviceaccount/controller.h"
#include "controllers/serviceaccount/tokens_controller.h"

namespace km::controllers {
namespace {

constexpr ControllerRow kRows[] = {
    {"deployment-controller", "deployment", deployment::make},
    {"endpoints-controller", "endpoint", endpoints::makeEndpoints},
    {"endpointslice-controller", "endpointslice", endpoints::makeSlices},
    {"garbage-collector-controller", "garbagecollector", garbagecollector::make},
    {"namespace-controller", "namespace", nscontroller::make},
    {"node-ipam-controller", "nodeipam", nodeipam::make},
    {"node-lifecycle-controller", "nodelifecycle", nodelifecycle::make},
    {"pod-garbage-collector-controller", "podgc", podgc::make},
    {"replicaset-controller", "replicaset", replicaset::make},
    {"root-ca-certificate-publisher-controller", "root-ca-cert-publisher", rootca::make},
    {"serviceaccount-controller", "serviceaccount", serviceaccount::make},
    {"serviceaccount-token-controller", "serviceaccount-token", serviceaccount::makeTokens},
    {"taint-eviction-controller", "", nodelifecycle::makeTaintEviction},
};

}  // namespace

std::span<const ControllerRow> controllerTable() { return kRows; }

const ControllerRow* findController(std::string_view name) {
  for (const ControllerRow& row : kRows) {
    if (row.name == name || (!row.alias.empty() && row.alias == name)) return &row;
  }
  return nullptr;
}

}  // namespace km::controllers

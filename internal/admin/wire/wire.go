// Package wire holds what goes over the wire between the admin API and its clients, apart from the model itself. It
// has no behaviour.
package wire

import (
	"encoding/json"

	"github.com/systole-run/systole/store"
)

// Bounds of the API. Both sides know them.
const (
	MaxBody      = 1 << 20 // bytes of a request body
	MaxApplyBody = 8 << 20 // bytes of a batch of flows
	MaxApply     = 1000    // flows in a batch
	MaxPage      = 1000    // entries of a page
	MaxReason    = 500     // bytes of a reason
)

// FlowPage is one page of a group's flows, by name.
type FlowPage struct {
	Flows []store.FlowView `json:"flows"`
	Next  string           `json:"next,omitempty" doc:"What to give as after for the next page; absent on the last one"`
}

// RunPage is one page of a group's runs, the newest first.
type RunPage struct {
	Runs []store.Run `json:"runs"`
	Next string      `json:"next,omitempty" doc:"What to give as after for the next page; absent on the last one"`
}

// BeatPage is one page of a group's heartbeats, the newest first.
type BeatPage struct {
	Beats []store.BeatView `json:"beats"`
	Next  string           `json:"next,omitempty" doc:"What to give as after for the next page; absent on the last one"`
}

// StatusList is every group that the caller may read.
type StatusList struct {
	Groups []store.GroupStatus `json:"groups"`
}

// ApplyRequest is a batch of definitions. Either all of them are valid, or none is written.
type ApplyRequest struct {
	Source string           `json:"source,omitempty" maxLength:"200" doc:"Where the flows are applied from, to be known by later; what is recorded stays if left out"`
	DryRun bool             `json:"dry_run,omitempty" doc:"Say what would become of each flow, and write nothing"`
	Flows  []store.DataFlow `json:"flows"`
}

// Applied is what became of a batch, or would, in its order.
type Applied struct {
	Results []store.FlowChange `json:"results"`
}

// FlowRefPage is one page of the flows that were applied from a source. It may hold few or none and not be the last.
type FlowRefPage struct {
	Flows []store.FlowRef `json:"flows"`
	Next  string          `json:"next,omitempty" doc:"What to give as after for the next page; absent on the last one"`
}

// RunRequest asks for one run. Both fields may be left out.
type RunRequest struct {
	ID     string          `json:"id,omitempty" doc:"Id of the run, flow~ and 16 digits; repeating a request with the same id starts one run"`
	Params json.RawMessage `json:"params,omitempty" doc:"A JSON object that the run gets"`
}

// RunStarted is the run that was asked for. It can be read at once.
type RunStarted struct {
	RunID string `json:"run_id"`
}

// ReasonRequest says why something is asked for. All of it may be left out.
type ReasonRequest struct {
	Reason string `json:"reason,omitempty" doc:"Why, in up to 500 bytes"`
}

// RunCancelled is where a run stands that was to be ended: cancelled, or in progress until its worker has ended it.
type RunCancelled struct {
	RunID           string       `json:"run_id"`
	Status          store.Status `json:"status" enum:"pending,in_progress,success,failed,cancelled"`
	CancelRequested bool         `json:"cancel_requested,omitempty" doc:"Its worker was asked to end it, and has not done so yet"`
}

// SlotList is what became of a flow's slots, the newest first.
type SlotList struct {
	Slots []store.SlotRange `json:"slots"`
}

// Purged counts the occurrences that were taken off the list of those that failed for good.
type Purged struct {
	Purged int `json:"purged"`
}

// Health says that the API works.
type Health struct {
	Status  string `json:"status" enum:"ok"`
	Version string `json:"version,omitempty"`
}

// Problem is an answer that says no (RFC 9457), in the shape that the gateway gives, too.
type Problem struct {
	Type   string             `json:"type"`
	Title  string             `json:"title"`
	Status int                `json:"status"`
	Detail string             `json:"detail,omitempty"`
	Errors []store.FieldError `json:"errors,omitempty" doc:"Everything that was wrong, all at once"`
}

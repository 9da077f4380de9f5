// Recorder: what Flagger's controller itself does with scripted metrics.
//
//	go run . ../flagger.json
//
// Reads the cases' analysis and the value that each query gets, ticks the controller's own advanceCanary, and writes the
// phase, the weight and the failed checks after each tick back into the file. The controller is the real one with its
// router for Istio; only its clients and its Prometheus are not.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"
	_ "unsafe" // for go:linkname

	flaggerv1 "github.com/fluxcd/flagger/pkg/apis/flagger/v1beta1"
	"github.com/fluxcd/flagger/pkg/canary"
	fakeflagger "github.com/fluxcd/flagger/pkg/client/clientset/versioned/fake"
	informers "github.com/fluxcd/flagger/pkg/client/informers/externalversions"
	"github.com/fluxcd/flagger/pkg/controller"
	"github.com/fluxcd/flagger/pkg/metrics/observers"
	"github.com/fluxcd/flagger/pkg/notifier"
	"github.com/fluxcd/flagger/pkg/router"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
)

//go:linkname advance github.com/fluxcd/flagger/pkg/controller.(*Controller).advanceCanary
func advance(c *controller.Controller, name string, namespace string)

// A check is what Prometheus gives to the two queries of one tick: a number, "NaN" (no requests), "empty" or
// "unavailable"; `duration` is the p99 in milliseconds.
type check struct {
	SuccessRate string `json:"successRate"`
	Duration    string `json:"duration"`
}

type tick struct {
	Phase        string `json:"phase"`
	Weight       int    `json:"weight"`
	FailedChecks int    `json:"failedChecks"`
}

type testCase struct {
	Name       string  `json:"name"`
	Threshold  int     `json:"threshold"`
	StepWeight int     `json:"stepWeight"`
	MaxWeight  int     `json:"maxWeight"`
	Min        float64 `json:"successRateMin"`
	Max        float64 `json:"durationMax"`
	Checks     []check `json:"checks"`
	Ticks      []tick  `json:"ticks"`
}

type document struct {
	Program string     `json:"program"`
	Cases   []testCase `json:"cases"`
}

const (
	name      = "model"
	namespace = "default"
)

func main() {
	path := os.Args[1]
	text, err := os.ReadFile(path)
	must(err)
	var told document
	must(json.Unmarshal(text, &told))
	for index := range told.Cases {
		recordOne(&told.Cases[index])
	}
	out, err := json.MarshalIndent(told, "", " ")
	must(err)
	must(os.WriteFile(path, append(out, '\n'), 0o644))
}

func recordOne(one *testCase) {
	now := check{SuccessRate: "100", Duration: "10"}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer(w, r.URL.Query().Get("query"), now)
	}))
	defer server.Close()
	// The controller registers its metrics anew for each case.
	prometheus.DefaultRegisterer = prometheus.NewRegistry()
	world := newWorld(one, server.URL)
	world.tick() // creates the primary
	world.ready(name + "-primary")
	world.tick() // initialised
	world.release("2")
	world.tick() // sees the new version
	world.ready(name)
	world.tick() // starts the analysis: the first weight, no check yet
	one.Ticks = []tick{world.state()}
	for _, now = range one.Checks {
		world.ready(name)
		world.ready(name + "-primary")
		world.tick()
		one.Ticks = append(one.Ticks, world.state())
	}
}

func answer(w http.ResponseWriter, query string, now check) {
	value := now.SuccessRate
	if strings.Contains(query, "histogram_quantile") {
		value = now.Duration
	}
	if query == "vector(1)" {
		value = "1"
	}
	if value == "unavailable" {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	result := ""
	if value != "empty" {
		result = fmt.Sprintf(`{"metric":{},"value":[1,%q]}`, value)
	}
	fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[%s]}}`, result)
}

type world struct {
	flagger    *fakeflagger.Clientset
	kube       kubernetes.Interface
	controller *controller.Controller
}

func newWorld(one *testCase, prometheusURL string) world {
	cd := newCanary(one)
	flagger, kube := fakeflagger.NewSimpleClientset(cd), fake.NewSimpleClientset(newDeployment("1"))
	logger := zap.NewNop().Sugar()
	factory := informers.NewSharedInformerFactory(flagger, 0)
	seen := controller.Informers{
		CanaryInformer: factory.Flagger().V1beta1().Canaries(),
		MetricInformer: factory.Flagger().V1beta1().MetricTemplates(),
		AlertInformer:  factory.Flagger().V1beta1().AlertProviders(),
	}
	observer, err := observers.NewFactory(prometheusURL)
	must(err)
	tracker := &canary.ConfigTracker{Logger: logger, KubeClient: kube, FlaggerClient: flagger}
	c := controller.NewController(kube, flagger, seen, time.Second, logger, &notifier.NopNotifier{},
		canary.NewFactory(kube, flagger, tracker, []string{"app"}, []string{""}, logger),
		router.NewFactory(nil, kube, flagger, "annotations", "", logger, flagger, true),
		observer, "istio", "recorder", "", "", false)
	must(seen.CanaryInformer.Informer().GetIndexer().Add(cd))
	return world{flagger, kube, c}
}

func (w world) tick() { advance(w.controller, name, namespace) }

func (w world) ready(deployment string) {
	found, err := w.kube.AppsV1().Deployments(namespace).Get(context.TODO(), deployment, metav1.GetOptions{})
	must(err)
	found.Status = appsv1.DeploymentStatus{Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: 1, AvailableReplicas: 1}
	_, err = w.kube.AppsV1().Deployments(namespace).Update(context.TODO(), found, metav1.UpdateOptions{})
	must(err)
}

func (w world) release(version string) {
	_, err := w.kube.AppsV1().Deployments(namespace).Update(context.TODO(), newDeployment(version), metav1.UpdateOptions{})
	must(err)
}

func (w world) state() tick {
	found, err := w.flagger.FlaggerV1beta1().Canaries(namespace).Get(context.TODO(), name, metav1.GetOptions{})
	must(err)
	return tick{string(found.Status.Phase), found.Status.CanaryWeight, found.Status.FailedChecks}
}

func newCanary(one *testCase) *flaggerv1.Canary {
	return &flaggerv1.Canary{
		TypeMeta:   metav1.TypeMeta{APIVersion: flaggerv1.SchemeGroupVersion.String(), Kind: "Canary"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: flaggerv1.CanarySpec{
			TargetRef: flaggerv1.LocalObjectReference{Name: name, APIVersion: "apps/v1", Kind: "Deployment"},
			Service:   flaggerv1.CanaryService{Port: 8080},
			Analysis: &flaggerv1.CanaryAnalysis{
				Interval: "1m", Threshold: one.Threshold, StepWeight: one.StepWeight, MaxWeight: one.MaxWeight,
				Metrics: []flaggerv1.CanaryMetric{
					{Name: "request-success-rate", Interval: "1m", ThresholdRange: &flaggerv1.CanaryThresholdRange{Min: &one.Min}},
					{Name: "request-duration", Interval: "1m", ThresholdRange: &flaggerv1.CanaryThresholdRange{Max: &one.Max}},
				},
			},
		},
	}
}

func newDeployment(version string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: "model", Image: "model:" + version, Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
				}}},
			},
		},
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "recorder:", err)
		os.Exit(1)
	}
}
